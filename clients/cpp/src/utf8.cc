#include "utf8.h"

#include <cstddef>

#include "sessiongateway/errors.h"

namespace sessiongateway::detail {

namespace {

bool is_between(unsigned char byte, unsigned low, unsigned high) {
  return low <= byte && byte <= high;
}

/// How many bytes follow a first byte, and between which bounds the first of them is.
struct Sequence {
  std::size_t more;
  unsigned low = 0x80;
  unsigned high = 0xBF;
};

constexpr std::size_t kNone = 4;

/// The bounds leave out overlong forms, surrogates, and what is beyond U+10FFFF.
Sequence sequence_of(unsigned char first) {
  if (first < 0x80) return {0};
  if (is_between(first, 0xC2, 0xDF)) return {1};
  if (first == 0xE0) return {2, 0xA0};
  if (first == 0xED) return {2, 0x80, 0x9F};
  if (is_between(first, 0xE1, 0xEF)) return {2};
  if (first == 0xF0) return {3, 0x90};
  if (is_between(first, 0xF1, 0xF3)) return {3};
  if (first == 0xF4) return {3, 0x80, 0x8F};
  return {kNone};
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t position = 0; position < text.size(); ++position) {
    const Sequence sequence = sequence_of(static_cast<unsigned char>(text[position]));
    if (sequence.more == 0) continue;
    if (sequence.more == kNone || text.size() - position <= sequence.more) return false;
    if (!is_between(static_cast<unsigned char>(text[position + 1]), sequence.low, sequence.high)) return false;
    for (std::size_t next = 2; next <= sequence.more; ++next) {
      if (!is_between(static_cast<unsigned char>(text[position + next]), 0x80, 0xBF)) return false;
    }
    position += sequence.more;
  }
  return true;
}

const std::string& utf8(const std::string& text, const char* name) {
  if (!is_utf8(text)) throw UsageError(std::string("the ") + name + " is not UTF-8");
  return text;
}

}  // namespace sessiongateway::detail
