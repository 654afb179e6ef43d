#include <gtest/gtest.h>

#include "renewal_plan.h"
#include "sessiongateway/options.h"

namespace sessiongateway {
namespace {

using namespace std::chrono_literals;
using detail::Moment;
using detail::RenewalPlan;
using Ids = std::vector<std::string>;

const Moment kStart{};

TEST(Backoff, GrowsFromItsFirstStepToItsLast) {
  const Backoff backoff{100ms, 5s};
  EXPECT_EQ(backoff.delay(0, 1.0), 100ms);
  EXPECT_EQ(backoff.delay(1, 1.0), 200ms);
  EXPECT_EQ(backoff.delay(3, 0.0), 400ms);
  EXPECT_EQ(backoff.delay(1'000'000, 1.0), 5s);
}

TEST(RenewalPlan, ASessionIsDueAtOnceAndThenAtAThirdOfItsTimeout) {
  RenewalPlan plan(10s);
  plan.add("a", kStart);
  EXPECT_EQ(plan.take_due(kStart, 10, 0.0), Ids{"a"});
  plan.answered("a", 60s);
  EXPECT_EQ(plan.next_moment(), kStart + 20s);
  EXPECT_EQ(plan.take_due(kStart + 19s, 10, 0.0), Ids{});
  EXPECT_EQ(plan.take_due(kStart + 20s, 10, 0.0), Ids{"a"});
}

TEST(RenewalPlan, JitterOnlyEverMakesARenewalEarlier) {
  RenewalPlan plan(10s);
  plan.add("a", kStart);
  plan.take_due(kStart, 10, 1.0);
  plan.answered("a", 60s);
  EXPECT_EQ(plan.next_moment(), kStart + 16s);
}

TEST(RenewalPlan, EachSessionHasAnIntervalOfItsOwn) {
  RenewalPlan plan(10s);
  plan.add("long", kStart);
  plan.add("short", kStart);
  plan.take_due(kStart, 10, 0.0);
  plan.answered("long", 3600s);
  plan.answered("short", 3s);
  EXPECT_EQ(plan.take_due(kStart + 1s, 10, 0.0), Ids{"short"});
}

TEST(RenewalPlan, ALongListIsTakenInParts) {
  RenewalPlan plan(10s);
  for (const char* each : {"a", "b", "c"}) plan.add(each, kStart);
  EXPECT_EQ(plan.take_due(kStart, 2, 0.0), (Ids{"a", "b"}));
  EXPECT_EQ(plan.take_due(kStart, 2, 0.0), Ids{"c"});
}

TEST(RenewalPlan, AnAnswerThatDoesNotComeIsOverdue) {
  RenewalPlan plan(10s);
  plan.add("a", kStart);
  plan.take_due(kStart, 10, 0.0);
  EXPECT_FALSE(plan.is_overdue(kStart + 9s));
  EXPECT_TRUE(plan.is_overdue(kStart + 10s));
  EXPECT_EQ(plan.next_moment(), kStart + 10s);
}

TEST(RenewalPlan, OnlyAnAwaitedAnswerCanBeOverdue) {
  RenewalPlan plan(10s);
  plan.add("a", kStart);
  plan.add("b", kStart);
  EXPECT_FALSE(plan.overdue_moment());
  plan.take_due(kStart, 1, 0.0);
  EXPECT_EQ(plan.overdue_moment(), kStart + 10s);
  EXPECT_EQ(plan.next_moment(), kStart);
}

TEST(RenewalPlan, OnANewStreamEverythingIsDueAndNothingIsAwaited) {
  RenewalPlan plan(10s);
  plan.add("a", kStart);
  plan.add("b", kStart);
  plan.take_due(kStart, 1, 0.0);
  plan.restart(kStart + 30s);
  EXPECT_FALSE(plan.is_overdue(kStart + 30s));
  EXPECT_EQ(plan.take_due(kStart + 30s, 10, 0.0), (Ids{"a", "b"}));
}

TEST(RenewalPlan, WhatWasRemovedIsNeverDueNorAwaited) {
  RenewalPlan plan(10s);
  plan.add("a", kStart);
  plan.take_due(kStart, 10, 0.0);
  plan.remove("a");
  plan.answered("a", 60s);
  EXPECT_TRUE(plan.empty());
  EXPECT_FALSE(plan.next_moment());
}

TEST(RenewalPlan, ASessionWhoseTimeoutIsNotKnownIsAskedAboutAfterAWhile) {
  RenewalPlan plan(10s);
  plan.add("a", kStart);
  plan.take_due(kStart, 10, 0.0);
  plan.answered("a", 0s);
  EXPECT_EQ(plan.next_moment(), kStart + 10s);
}

}  // namespace
}  // namespace sessiongateway
