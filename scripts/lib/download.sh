# shellcheck shell=bash
# Downloads through pip, so that the user's package index, proxy and certificates are respected.

# download PACKAGE VERSION FILE SHA256 MEGABYTES: puts FILE into the cache's downloads, complete or not at all.
download() {
  local package="$1" version="$2" file="$3" sha256="$4" megabytes="$5"
  local target="$cache/downloads/$file"
  has_sha256 "$target" "$sha256" && return
  need_megabytes "$cache" "$((megabytes * 4))"

  local log
  say "Downloading $file ($megabytes MB) ..."
  local -a kind=(--only-binary :all:)
  [[ $file == *.tar.gz ]] && kind=(--no-binary "$package" --no-build-isolation)
  if ! log="$(printf '%s==%s --hash=sha256:%s\n' "$package" "$version" "$sha256" | pip_download "${kind[@]}" \
    --dest "$TMPDIR" 2>&1)"; then
    explain_download "$file" "$log" "$target"
  fi
  has_sha256 "$TMPDIR/$file" "$sha256" || fail "pip did not download $file as expected; run this again."
  mv "$TMPDIR/$file" "$target"
}

# The requirement comes on standard input. Before it saves a source distribution pip asks its build back
# end for the package's metadata; metadata_only answers in its place, so that nothing is built.
pip_download() {
  PYTHONPATH="$root/scripts/lib/metadata_only" PYTHONDONTWRITEBYTECODE=1 PIP_REQUIRE_VIRTUALENV=0 \
    python3 -m pip --disable-pip-version-check --no-cache-dir download --quiet --no-deps --require-hashes \
    --requirement /dev/stdin "$@"
}

explain_download() {
  local file="$1" log="$2" target="$3"
  grep -qi 'no space left' <<<"$log" && fail_disk_full "$cache" 500
  grep -v '^ *$' <<<"$log" | tail -n 3 | cut -c1-300 >&2
  if grep -q 'DO NOT MATCH THE HASHES' <<<"$log"; then
    fail "The package index served another file than the pinned $file. Use an index that mirrors it unchanged."
  fi
  fail "$file could not be downloaded. Check the network and pip's settings (pip config list) and run this" \
    "again, or put the file at $target yourself."
}

has_sha256() {
  [[ -f $1 ]] && sha256sum --check --status <<<"$2  $1" 2>/dev/null
}
