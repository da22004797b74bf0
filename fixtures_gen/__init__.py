"""What code makes for tests and docs: models and their truth, schemas, help texts, pages."""
