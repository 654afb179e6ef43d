package com.sessiongateway.client.errors;

import com.google.protobuf.Descriptors.EnumDescriptor;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import java.util.Locale;

/** The values of the protocol's enums as words, such as "active"; for the client's own use. */
public final class Words {
  private Words() {}

  /**
   * Returns the lower-case name without its prefix; "unknown_N" for a value that only a newer
   * gateway knows.
   */
  public static String of(EnumDescriptor type, String prefix, int number) {
    EnumValueDescriptor value = type.findValueByNumber(number);
    if (value == null) {
      return "unknown_" + number;
    }
    return value.getName().substring(prefix.length()).toLowerCase(Locale.ROOT);
  }

  /**
   * Returns the constant that is named like the value; the last one, UNRECOGNIZED, if there is
   * none.
   */
  static <E extends Enum<E>> E constant(E[] constants, String word) {
    for (E constant : constants) {
      if (constant.name().equalsIgnoreCase(word)) {
        return constant;
      }
    }
    return constants[constants.length - 1];
  }
}
