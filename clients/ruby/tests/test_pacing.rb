# frozen_string_literal: true

require "support/test_case"

class TestPacing < TestCase
  def schedule(random: 0.0, **options)
    SessionGateway::RenewalSchedule.new(SessionGateway::Pacing.new(random: -> { random }, **options))
  end

  def test_pauses_grow_to_a_limit_and_are_spread
    backoff = SessionGateway::Backoff.new(initial: 0.1, maximum: 5.0, multiplier: 2)

    assert_equal([0.1, 0.2, 0.4, 5.0, 5.0], [0, 1, 2, 6, 10_000].map { |attempt| backoff.delay(attempt, 1.0) })
    assert_in_delta 0.05, backoff.delay(0, 0.0)
  end

  def test_renewals_come_at_a_third_of_the_timeout_or_a_little_sooner
    pacing = SessionGateway::Pacing.new

    assert_in_delta 110.0, pacing.renewal_due(100.0, 30, 0.0)
    assert_in_delta 108.0, pacing.renewal_due(100.0, 30, 1.0)
  end

  def test_a_session_is_asked_about_at_once_and_then_each_third_of_its_own_timeout
    plan = schedule
    plan.add("short", 30)
    plan.add("long", 300)

    assert_equal %w[short long], plan.take_due(0.0)
    plan.answered("short", 30)
    plan.answered("long", 300)

    assert_in_delta 10.0, plan.next_moment
    assert_empty plan.take_due(9.0)
    assert_equal %w[short], plan.take_due(10.0)
  end

  def test_a_timeout_that_is_not_known_counts_from_the_question
    plan = schedule
    plan.add("s", nil)
    plan.take_due(50.0)
    plan.answered("s", 30)

    assert_in_delta 60.0, plan.next_moment
  end

  def test_those_that_are_due_soon_come_along
    plan = schedule
    %w[a b].each_with_index do |id, moment|
      plan.add(id, 60)
      plan.take_due(moment.to_f)
      plan.answered(id, 60)
    end

    assert_equal %w[a b], plan.take_due(20.0)
  end

  def test_an_answer_that_fails_to_come_is_noticed
    plan = schedule(reply_timeout: 10.0)
    plan.add("s", 3)
    plan.take_due(0.0)
    plan.take_due(1.0)

    refute plan.overdue?(9.9)
    assert plan.overdue?(10.0)
    plan.answered("s", 3)

    refute plan.overdue?(10.0)
  end

  def test_a_session_without_a_timeout_is_asked_about_again_after_a_while
    plan = schedule(reply_timeout: 10.0)
    plan.add("s", nil)
    plan.take_due(0.0)
    plan.answered("s", 0)

    assert_in_delta 10.0, plan.next_moment
    assert_equal %w[s], plan.take_due(10.0)
    plan.answered("s", nil)

    assert_in_delta 20.0, plan.next_moment
  end

  def test_an_answer_needs_another_look_only_if_something_is_due_sooner
    plan = schedule(reply_timeout: 10.0)
    plan.add("long", 300)
    plan.add("new", nil)
    plan.take_due(0.0)

    refute plan.answered("long", 300)
    assert plan.answered("new", 3)
    assert_in_delta 1.0, plan.next_moment
  end

  def test_the_oldest_question_counts_and_those_that_left_do_not
    plan = schedule(reply_timeout: 10.0)
    %w[a b].each_with_index do |id, moment|
      plan.add(id, 300)
      plan.take_due(moment.to_f)
    end

    assert plan.overdue?(10.0)
    plan.delete("a")

    refute plan.overdue?(10.0)
    assert plan.overdue?(11.0)
    plan.delete("b")

    assert_predicate plan, :empty?
    refute plan.overdue?(1_000.0)
  end

  def test_a_session_that_comes_later_is_asked_about_alone
    plan = schedule
    plan.add("a", 60)
    plan.take_due(0.0)
    plan.answered("a", 60)
    plan.add("b", 60)

    assert_equal(-Float::INFINITY, plan.next_moment)
    assert_equal %w[b], plan.take_due(5.0)
    plan.answered("b", 60)

    assert_equal [20.0, %w[a]], [plan.next_moment, plan.take_due(20.0)]
    plan.answered("a", 60)

    assert_equal [25.0, %w[b]], [plan.next_moment, plan.take_due(25.0)]
  end

  def test_a_new_stream_asks_about_all
    plan = schedule
    plan.add("s", 60)
    plan.take_due(0.0)
    plan.begin_anew

    refute plan.overdue?(1_000.0)
    assert_equal %w[s], plan.take_due(0.1)
  end
end
