"""What the board says of itself: its keys, and what stands where nothing is."""

from __future__ import annotations

HELP = """\
Look
  up, down    choose a peer, with the mouse too
  1 2 3       messages, screen, tasks
  Tab         to the next part; arrows scroll it
  /           only what has a text in it
  f           only the chosen peer's; Esc shows all again
Do
  a           answer what you are asked
  i           read what was sent to you
  s           send to the chosen peer
  k           ask it; the reply shows below
  Enter       attach to its pane (back: Ctrl-B d)
  r           restart it, after a question
  x           kill it for good, after a question
Board
  d           light or dark
  q           quit; the team goes on"""

EMPTY = {
    "messages": "Nothing was said in the last two hours. s sends to the chosen peer, k asks it.",
    "screen": "No peer is chosen.",
    "tasks": "No tasks. A line [task] TITLE in a message makes one, and so does `intercom-mux task add`.",
}
FILTERED = "Nothing here fits the filter. Esc shows all again."
