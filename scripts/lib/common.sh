# shellcheck shell=bash
# What all scripts share: folders, messages, and running a noisy step quietly.

# shellcheck disable=SC2034  # used by those who source this
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
home=~  # also right where HOME is not set
cache="${CHUNKKV_CACHE:-${XDG_CACHE_HOME:-$home/.cache}/chunkkv}"
# shellcheck disable=SC2034
jobs="$(nproc)"

# Messages go to standard error; standard output belongs to what the script is for.
say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

# The cache folder, locked: a second script waits for the first one's download or build. What is not
# complete is in its folder tmp, and goes when the script ends.
open_cache() {
  local problem="The cache folder $cache is not writable: set CHUNKKV_CACHE to one that is, and run this again."
  mkdir -p "$cache" 2>/dev/null || fail "$problem"
  cache="$(cd "$cache" && pwd)"
  { : >>"$cache/lock"; } 2>/dev/null || fail "$problem"
  exec 9>>"$cache/lock"
  flock -n 9 || { say "Waiting for another run that uses $cache ..." && flock 9; }
  rm -rf "$cache/tmp"
  mkdir -p "$cache"/{downloads,engine,models,tmp} 2>/dev/null || fail "$problem"
  export TMPDIR="$cache/tmp"
  trap close_cache EXIT
}

close_cache() {
  trap - EXIT
  rm -rf "${cache:?}/tmp"
  unset TMPDIR
  exec 9>&-
}

megabytes_free() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

need_megabytes() {
  (($(megabytes_free "$1") >= $2)) || fail_disk_full "$1" "$2"
}

fail_disk_full() {
  fail "The disk of $1 is full: free $2 MB there, or set CHUNKKV_CACHE to a folder on another disk, and run" \
    "this again. It goes on where it stopped."
}

# run_quietly LOG WHAT COMMAND...: output goes to LOG; on a terminal a build's progress is shown.
# A failure shows the end of the log, or that the disk is full.
run_quietly() {
  local log="$1" what="$2" status=0
  shift 2
  say "$what ..."
  if [[ -t 2 ]]; then
    { "$@" 2>&1 | tee "$log" | show_progress; } || status=$?
  else
    "$@" >"$log" 2>&1 || status=$?
  fi
  ((status == 0)) && return
  if (($(megabytes_free "$(dirname "$log")") < 8)) || grep -qi 'no space left' "$log" 2>/dev/null; then
    fail_disk_full "$(dirname "$log")" 500
  fi
  tail -n 25 "$log" >&2
  fail "$what failed. All of its output is in $log"
}

show_progress() {
  local line width
  width="$(tput cols 2>/dev/null || echo 80)"
  while IFS= read -r line; do
    [[ $line == \[* ]] && printf '\r\033[K%.*s' "$((width - 1))" "$line" >&2
  done
  printf '\r\033[K' >&2
}
