"""A stand-in for the cmux app of macOS: its socket, its command line, and real terminals, as far as they are known.

Nothing here ran beside the real app. What it does follows what the sources of 0.62.2, 0.63.2, 0.64.1 and 0.64.22, the
project's documents and its issues say; where they are silent it refuses rather than guesses. Fact by fact:

* `app.py` is the app. State is windows → workspaces → panes → surfaces. Every object has a UUID and a ref `kind:N`; N
  grows by one per kind and is never used again. The focus moves only when `focus` is true.
* Its socket takes any number of lines per connection: JSON objects are v2 requests, answered with `ok` and `result` or
  `error {code, message}`; anything else is a v1 line, answered with text, errors as `ERROR: …`. There are no v2 methods
  for status, progress and log. `*_id` parameters take a UUID or a ref, no index.
* Each surface is a real PTY with `$SHELL` (or its initial command, which replaces the shell) and the variables that the
  app sets; `read_text` is what `screen.py`, a small model of a terminal, has drawn. The program's end closes the
  surface. Text is written with LF, CR and CRLF as one 0x0D each; an escape sequence never reaches the program.
* Access: `cmuxOnly` (descendants of the app by pid, asked of the kernel, or who presents the capability), `automation`
  (same user), `password`, `allowAll`; a refusal says so, or just hangs up, by version.
* `cli.py` is the program `cmux`: globals first, handles checked before anything is sent (so `send --surface right`
  fails), plain answers `OK surface:5 workspace:1`, `--json` and `--id-format`, `Error: …` on stderr, exit 1 or 2;
  `\\n`, `\\r` and `\\t` replaced in `send` without an escape, the workspace of the environment added, its surface only
  if neither workspace nor window is given, a note on stderr for the old workspace verbs.
* Profiles (`profiles.py`): 0.62 answers an unknown surface by acting on the focused one; 0.64.1 and before add the
  environment's workspace to an explicit surface; 0.64.22 refuses unknown flags; the newest takes `--command`.
  `surface.split` obeys `initial_command`, `startup_environment` and `working_directory` from 0.64.22 on; of earlier
  versions it is not known, and they ignore it here, the worse case.
* Faults (`Faults` in app.py): not running, refused, access denied in both ways, password, slow PTY (`queued`,
  unreadable), unanswered methods, dropped Enters, a split that takes the focus.
* `others.py` has the answers of three other programs that are called cmux.

Left out: browsers, several windows, layouts as JSON, remote workspaces, hooks and events, the tmux-like verbs.
"""
