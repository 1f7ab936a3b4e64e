# shellcheck shell=bash
# The engine, llama.cpp, built once per set of options into the cache. Sets engine_prefix.
# CHUNKKV_ENGINE_OPTIONS holds more CMake options for it, as in "-DGGML_CUDA=ON".
# Clang builds it where there is one, unless CC and CXX name another compiler: it vectorises the engine's
# attention, which counts where ours is not used (docs/performance.md).

engine_prefix=""

prepare_engine() {
  local -a options
  read -ra options <<<"${CHUNKKV_ENGINE_OPTIONS:-}"
  if [[ -n ${CC:-}${CXX:-} ]]; then
    choose_engine "${CC:-cc}" "${CXX:-c++}"
  elif clang_works; then
    choose_engine clang clang++
  else
    choose_engine cc c++
    if [[ ! -d $engine_prefix ]] && want_package clang && clang_works; then
      choose_engine clang clang++
    fi
  fi
  [[ -d $engine_prefix ]] || build_engine
}

# A Clang that finds no standard library is as good as none.
clang_works() { echo '#include <vector>' | clang++ -fsyntax-only -x c++ - >/dev/null 2>&1; }

choose_engine() {
  engine_cc="$1" engine_cxx="$2"
  engine_prefix="$cache/engine/$engine_version-$(engine_key "${options[@]}")"
}

# An interrupted build leaves its folder, and goes on from there.
build_engine() {
  local work="$engine_prefix.build" time="3 minutes"
  [[ ${options[*]} == *CUDA=ON* ]] && time="half an hour"
  if [[ ! -d $work/source ]]; then
    download "$engine_package" "$engine_version" "$engine_archive" "$engine_sha256" 77
    need_megabytes "$cache" 400
    mkdir -p "$work"
    unpack_engine "$work"
  fi
  run_quietly "$work/log" "Configuring llama.cpp" \
    cmake -G Ninja -S "$root/cmake/engine" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_COMPILER="$engine_cc" -DCMAKE_CXX_COMPILER="$engine_cxx" \
    -DENGINE_SOURCE="$work/source" -DCMAKE_INSTALL_PREFIX="$work/prefix" "${options[@]}"
  run_quietly "$work/log" "Building llama.cpp, once ($time on two cores)" \
    cmake --build "$work/build" --parallel "$jobs"
  rm -rf "$work/prefix"
  run_quietly "$work/log" "Installing llama.cpp into the cache" cmake --install "$work/build"
  mv "$work/prefix" "$engine_prefix"
  rm -rf "$work"
}

# --touch: the archive's times may lie in the future, and a build never settles on such files.
unpack_engine() {
  mkdir "$TMPDIR/source"
  run_quietly "$1/log" "Unpacking llama.cpp" \
    tar --extract --touch --no-same-owner --gzip --file "$cache/downloads/$engine_archive" \
    --directory "$TMPDIR/source" --strip-components=3 "$engine_folder"
  mv "$TMPDIR/source" "$1/source"
}

# Changes whenever the engine would be built differently: source, options, compiler, processor.
engine_key() {
  {
    printf '%s\n' "$engine_sha256" "$@"
    cat "$root"/cmake/engine/*
    "$engine_cc" --version
    "$engine_cxx" --version
    "$engine_cxx" -march=native -dM -E -x c++ /dev/null | sort
  } | sha256sum | cut -c1-12
}
