package example;

import org.apache.commons.lang3.StringUtils;

/** Holds under load, and comes undone in a second. */
public final class Knot {
    private Knot() {
    }

    public static void main(String[] arguments) {
        System.out.println(StringUtils.capitalize("bowline"));
    }
}
