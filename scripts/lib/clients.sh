# shellcheck shell=bash
# Clients of the server, each set of pinned versions in a virtual environment of its own in the cache.

# prepare_clients REQUIREMENTS MEGABYTES: sets clients_python to a Python that has them.
clients_python=""

prepare_clients() {
  local requirements="$1" megabytes="$2" folder python
  folder="$cache/clients/$(clients_key "$requirements")"
  clients_python="$folder/bin/python"
  [[ -f $folder/complete ]] && "$clients_python" -c '' 2>/dev/null && return

  need_megabytes "$cache" "$megabytes"
  rm -rf "$folder"
  mkdir -p "$cache/clients"
  python="$(command -v python3)"
  run_quietly "$cache/clients/log" "Making a virtual environment" "$python" -m venv "$folder"
  PIP_REQUIRE_VIRTUALENV=0 PYTHONDONTWRITEBYTECODE=1 run_quietly "$cache/clients/log" "Installing the clients of $requirements" \
    "$clients_python" -m pip --disable-pip-version-check --no-cache-dir install --quiet --no-deps --no-compile \
    --only-binary :all: --requirement "$requirements"
  : >"$folder/complete"
}

# Another version of Python, or other clients, are installed anew.
clients_key() {
  { python3 -VV && cat "$1"; } | sha256sum | cut -c1-12
}
