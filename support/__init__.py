"""What knows no domain: files, settings, threads, progress, lazy exports. The ground floor."""
