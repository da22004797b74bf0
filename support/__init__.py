"""Tools that know nothing about models: files, settings, threads, progress, error texts."""
