package com.sessiongateway.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sessiongateway.client.errors.CancelledException;
import com.sessiongateway.client.errors.DeadlineExceededException;
import com.sessiongateway.client.errors.RunState;
import com.sessiongateway.client.errors.SessionGatewayException;
import io.grpc.Context;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class OpeningTest {
  private final FakeTimer timer = new FakeTimer();
  private final Opening opening = new Opening(timer);

  @AfterEach
  void stop() {
    timer.close();
  }

  @Test
  void aTurnThatIsGivenBackTwiceLetsOneOtherIn() throws Exception {
    Opening.Turn first = acquire().get();
    CompletableFuture<Opening.Turn> second = acquire();
    CompletableFuture<Opening.Turn> third = acquire();
    first.release();
    first.release();
    assertTrue(second.isDone());
    assertFalse(third.isDone());
    second.get().release();
    assertTrue(third.isDone());
  }

  @Test
  void turnsGoRoundInTheOrderOfTheirCallersAlsoWhenTheyAreGivenBackAtOnce() throws Exception {
    Opening.Turn first = acquire().get();
    List<Integer> order = new ArrayList<>();
    List<Integer> expected = new ArrayList<>();
    for (int number = 0; number < 20_000; number++) {
      int mine = number;
      expected.add(mine);
      acquire()
          .thenAccept(
              turn -> {
                turn.release();
                order.add(mine);
              });
    }
    first.release();
    assertEquals(expected, order);
  }

  @Test
  void whoHasLeftIsPassedOver() throws Exception {
    Opening.Turn first = acquire().get();
    acquire().cancel(false);
    CompletableFuture<Opening.Turn> third = acquire();
    first.release();
    assertTrue(third.isDone());
  }

  @Test
  void aSessionThatIsOpenNeedsNoTurnsOnceAllWhoWaitedHaveHadOne() throws Exception {
    Opening.Turn first = acquire().get();
    CompletableFuture<Opening.Turn> second = acquire();
    opening.open();
    first.release();
    assertFalse(opening.isOver());
    second.get().release();
    assertTrue(opening.isOver());
  }

  @Test
  void aTurnThatDoesNotComeInTimeIsTheDeadlines() throws Exception {
    acquire().get();
    CompletableFuture<Opening.Turn> second =
        opening.acquire(Budget.start(Duration.ofSeconds(1), timer));
    timer.advance(timer.awaitPlan(Duration.ofSeconds(1)::equals));
    SessionGatewayException error = failure(second);
    assertInstanceOf(DeadlineExceededException.class, error);
    assertEquals(RunState.NOT_STARTED, error.runState());
  }

  @Test
  void whoStillWaitsWhenTheClientIsClosedIsToldSo() throws Exception {
    SystemTimer real = new SystemTimer();
    Opening begun = new Opening(real);
    begun.acquire(Budget.background()).get();
    CompletableFuture<Opening.Turn> second = begun.acquire(Budget.start(Duration.ofHours(1), real));
    real.close();
    assertInstanceOf(CancelledException.class, failure(second));
  }

  @Test
  void theEndOfTheContextEndsTheWait() throws Exception {
    acquire().get();
    Context.CancellableContext context = Context.current().withCancellation();
    CompletableFuture<Opening.Turn> second =
        opening.acquire(context.call(() -> Budget.start(null, timer)));
    context.cancel(null);
    SessionGatewayException error = failure(second);
    assertInstanceOf(CancelledException.class, error);
    assertEquals(RunState.NOT_STARTED, error.runState());
  }

  private CompletableFuture<Opening.Turn> acquire() {
    return opening.acquire(Budget.background());
  }

  private static SessionGatewayException failure(CompletableFuture<?> future) {
    ExecutionException error = assertThrows(ExecutionException.class, future::get);
    return assertInstanceOf(SessionGatewayException.class, error.getCause());
  }
}
