// fmt's functions, compiled once into the library: distributions have fmt as a shared library only, and read
// as a header in every file it takes as long to compile as everything else. CMake adds this file for the
// versions whose list of instantiations this is.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

template FMT_API dragonbox::decimal_fp<float> dragonbox::to_decimal(float) noexcept;
template FMT_API dragonbox::decimal_fp<double> dragonbox::to_decimal(double) noexcept;
template FMT_API thousands_sep_result<char> thousands_sep_impl<char>(locale_ref);
template FMT_API char decimal_point_impl<char>(locale_ref);
template FMT_API void vformat_to<char>(buffer<char>&, basic_string_view<char>,
                                       basic_format_args<FMT_BUFFER_CONTEXT(char)>, locale_ref);
template FMT_API void buffer<char>::append<char>(const char*, const char*);
template FMT_API std::locale locale_ref::get<std::locale>() const;
template FMT_API locale_ref::locale_ref(const std::locale&);

}  // namespace detail
FMT_END_NAMESPACE
