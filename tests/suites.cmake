# Run by ctest: adds an entry for each suite of `program`, a program of GoogleTest, with `label` before its name and
# with `properties`.
if(NOT EXISTS "${program}")
  add_test("${label}.NOT_BUILT" "${program}")
  return()
endif()
execute_process(COMMAND "${program}" --gtest_list_tests OUTPUT_VARIABLE tests RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${program} cannot list its tests (${status})")
endif()
# Suites start a line and end in a point; tests are indented.
string(REGEX MATCHALL "\n[A-Za-z0-9_/]+\\." suites "\n${tests}")
foreach(suite IN LISTS suites)
  string(REGEX REPLACE "[\n.]" "" name "${suite}")
  add_test("${label}.${name}" "${program}" "--gtest_filter=${name}.*")
  set_tests_properties("${label}.${name}" PROPERTIES ${properties})
endforeach()
