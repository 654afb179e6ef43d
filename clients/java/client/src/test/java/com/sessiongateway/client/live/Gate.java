package com.sessiongateway.client.live;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where functions of the probe app stand until they are let through. */
final class Gate implements AutoCloseable {
  private final Path directory = Files.createTempDirectory("gate");
  private final Path path = directory.resolve("socket");
  private final ServerSocketChannel server =
      ServerSocketChannel.open(StandardProtocolFamily.UNIX).bind(UnixDomainSocketAddress.of(path));

  Gate() throws IOException {}

  String path() {
    return path.toString();
  }

  /** Waits until a function stands here. */
  Arrival arrival() throws IOException {
    SocketChannel connection = server.accept();
    connection.read(ByteBuffer.allocate(64));
    return new Arrival(connection);
  }

  @Override
  public void close() throws IOException {
    server.close();
    Files.deleteIfExists(path);
    Files.deleteIfExists(directory);
  }

  /** A function that stands at the gate. */
  record Arrival(SocketChannel connection) implements AutoCloseable {
    void letThrough() throws IOException {
      connection.write(ByteBuffer.wrap(new byte[] {'\n'}));
    }

    /** Waits until the function has gone away without being let through. */
    void departure() throws IOException {
      ByteBuffer rest = ByteBuffer.allocate(64);
      while (connection.read(rest) >= 0) {
        rest.clear();
      }
    }

    @Override
    public void close() throws IOException {
      connection.close();
    }
  }
}
