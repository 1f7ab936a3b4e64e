# shellcheck shell=bash
# chunkkv itself, in build/<preset>.

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=versions.sh
source "$root/scripts/lib/versions.sh"
# shellcheck source=packages.sh
source "$root/scripts/lib/packages.sh"
# shellcheck source=download.sh
source "$root/scripts/lib/download.sh"
# shellcheck source=engine.sh
source "$root/scripts/lib/engine.sh"
# shellcheck source=model.sh
source "$root/scripts/lib/model.sh"
# shellcheck source=clients.sh
source "$root/scripts/lib/clients.sh"

# shellcheck disable=SC2034  # used by the scripts
build_packages=(
  g++ cmake ninja-build python3 python3-pip libcli11-dev libfmt-dev libicu-dev libjs-chart.js libssl-dev libutf8proc-dev libxxhash-dev)
# shellcheck disable=SC2034
test_packages=(curl libgtest-dev libbenchmark-dev nlohmann-json3-dev clang-format chromium python3-venv)

# build_preset PRESET [CMake option]...
build_preset() {
  local preset="$1"
  shift
  local folder="$root/build/$preset"
  mkdir -p "$folder"
  run_quietly "$folder.log" "Configuring build/$preset" cmake -S "$root" --preset "$preset" "$@"
  run_quietly "$folder.log" "Building build/$preset" cmake --build "$folder" --parallel "$jobs"
}
