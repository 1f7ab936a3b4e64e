# shellcheck shell=bash
# System packages: installed where apt-get and the rights for it are there, else named.

# A tool or header, not a package database, says whether something is missing: so other
# distributions and own installations count too.
package_present() {
  case "$1" in
    g++) command -v "${CXX:-g++}" ;;
    cmake) command -v cmake ;;
    ninja-build) command -v ninja ;;
    python3) command -v python3 ;;
    python3-pip) python3 -m pip --version ;;
    clang-format) command -v clang-format ;;
    libcli11-dev) has_header CLI/CLI.hpp ;;
    libfmt-dev) has_header fmt/format.h ;;
    libgtest-dev) has_header gtest/gtest.h ;;
    libbenchmark-dev) has_header benchmark/benchmark.h ;;
    *) fail "package_present does not know $1" ;;
  esac >/dev/null 2>&1
}

has_header() { "${CXX:-g++}" -E -x c++ -include "$1" /dev/null; }

missing_packages() {
  local package
  for package in "$@"; do
    package_present "$package" || printf '%s\n' "$package"
  done
}

need_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) && return
  local by_hand="Install these packages and run this again: ${missing[*]}"

  local -a as_root=()
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || fail "$by_hand (on Debian: sudo apt-get install ${missing[*]})"
    as_root=(sudo -n)
  fi
  command -v apt-get >/dev/null || fail "$by_hand"

  say "Installing ${missing[*]} ..."
  local log
  log="$("${as_root[@]}" apt-get update -q 2>&1 &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -qy --no-install-recommends "${missing[@]}" 2>&1)" || {
    tail -n 15 <<<"$log" >&2
    fail "apt-get could not install them. $by_hand"
  }
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) || fail "Still missing after apt-get: ${missing[*]}"
}
