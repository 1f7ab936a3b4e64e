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
    python3-venv) python3 -c 'import ensurepip, venv' ;;
    clang-format) command -v clang-format ;;
    clang-tidy) command -v clang-tidy ;;
    clang) command -v clang && command -v clang++ ;;
    libclang-rt-*-dev) links_fuzzer ;;
    libcli11-dev) has_header CLI/CLI.hpp ;;
    libfmt-dev) has_header fmt/format.h ;;
    libicu-dev) has_header unicode/ubrk.h ;;
    libssl-dev) has_header openssl/ssl.h ;;
    libutf8proc-dev) has_header utf8proc.h ;;
    libxxhash-dev) has_header xxhash.h ;;
    libgtest-dev) has_header gtest/gtest.h ;;
    libbenchmark-dev) has_header benchmark/benchmark.h ;;
    nlohmann-json3-dev) has_header nlohmann/json.hpp ;;
    libjs-chart.js) [[ -f ${CHUNKKV_CHART_JS:-/usr/share/javascript/chart.js/chart.min.js} ]] ;;
    dpkg-dev) command -v dpkg-shlibdeps ;;
    file) command -v file ;;
    curl) command -v curl ;;
    chromium) command -v "${CHROMIUM:-chromium}" || command -v google-chrome ;;
    *) return 3 ;;
  esac >/dev/null 2>&1
}

has_header() { "${CXX:-g++}" -E -x c++ -include "$1" /dev/null; }

links_fuzzer() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer,address -x c++ - -o /dev/null
}

missing_packages() {
  local package status
  for package in "$@"; do
    status=0
    package_present "$package" || status=$?
    ((status != 3)) || fail "package_present does not know $package"
    ((status == 0)) || printf '%s\n' "$package"
  done
}

# apt_install PACKAGE...: fails with a reason on standard output.
apt_install() {
  local -a as_root=()
  command -v apt-get >/dev/null || { echo "there is no apt-get" && return 1; }
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null || { echo "that needs root (on Debian: sudo apt-get install $*)" && return 1; }
    as_root=(sudo -n)
  fi
  local log
  log="$("${as_root[@]}" apt-get update -q 2>&1 &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" 2>&1)" ||
    { tail -n 15 <<<"$log" && return 1; }
}

need_packages() {
  local missing reason
  mapfile -t missing < <(missing_packages "$@")
  wait "$!" || exit 1
  ((${#missing[@]} == 0)) && return
  say "Installing ${missing[*]} ..."
  reason="$(apt_install "${missing[@]}")" ||
    fail "Install these packages and run this again: ${missing[*]}"$'\n'"They were not installed: $reason"
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} == 0)) || fail "Still missing after apt-get: ${missing[*]}"
}

# For what is only better to have.
want_package() {
  package_present "$1" && return
  say "Installing $1 ..."
  apt_install "$1" >/dev/null || say "$1 could not be installed; going on without it."
}
