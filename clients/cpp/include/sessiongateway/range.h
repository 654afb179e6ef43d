// A loop over something that comes piece by piece.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

namespace sessiongateway {

/// The iterator of sources whose `next()` returns an empty optional at their end. Advancing throws what `next()`
/// throws.
template <class Source, class Value>
class NextIterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = Value;
  using difference_type = std::ptrdiff_t;

  NextIterator() = default;
  explicit NextIterator(Source* source) : source_(source), value_(source->next()) {}

  const Value& operator*() const { return *value_; }
  const Value* operator->() const { return &*value_; }
  NextIterator& operator++() {
    value_ = source_->next();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return !value_.has_value(); }

 private:
  Source* source_ = nullptr;
  std::optional<Value> value_;
};

}  // namespace sessiongateway
