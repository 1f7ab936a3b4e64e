# Adds the objects of static libraries to an archive, so that whoever links it needs no others:
# cmake -Dar=AR -Darchive=LIB.a "-Dothers=A.a;B.a" -P merge_archives.cmake
set(script "CREATE ${archive}.whole\nADDLIB ${archive}\n")
foreach(other IN LISTS others)
  string(APPEND script "ADDLIB ${other}\n")
endforeach()
string(APPEND script "SAVE\nEND\n")
file(WRITE "${archive}.mri" "${script}")
execute_process(COMMAND "${ar}" -M INPUT_FILE "${archive}.mri" RESULT_VARIABLE failed)
file(REMOVE "${archive}.mri")
if(failed)
  message(FATAL_ERROR "${ar} could not add ${others} to ${archive}")
endif()
file(RENAME "${archive}.whole" "${archive}")
