package com.sessiongateway.client;

import com.sessiongateway.client.errors.SessionGatewayException;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/**
 * All items of all pages. Each walk begins with the first page and fetches one when its first item
 * is asked for; a step throws {@link SessionGatewayException} if that fails.
 */
public final class Pages<T> implements Iterable<T> {
  private final Function<String, Page<T>> fetch;

  /** Takes the function from a page's token, at first "", to the page. */
  Pages(Function<String, Page<T>> fetch) {
    this.fetch = fetch;
  }

  @Override
  public Iterator<T> iterator() {
    return new Walk();
  }

  /** Returns the items as a stream, fetched as lazily. */
  public Stream<T> stream() {
    return StreamSupport.stream(spliterator(), false);
  }

  /** One page; the token of the next is "" at the end. */
  record Page<T>(List<T> items, String nextToken) {}

  private final class Walk implements Iterator<T> {
    private Iterator<T> items = List.<T>of().iterator();
    private @Nullable String token = "";

    @Override
    public boolean hasNext() {
      // A page may be empty and still not be the last: a filter is applied after the page was cut.
      while (!items.hasNext() && token != null) {
        Page<T> page = fetch.apply(token);
        items = page.items().iterator();
        token = page.nextToken().isEmpty() ? null : page.nextToken();
      }
      return items.hasNext();
    }

    @Override
    public T next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      return items.next();
    }
  }
}
