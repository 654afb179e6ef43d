"""Where settings come from: the file, the environment, flags. Which settings there are is not known here."""
