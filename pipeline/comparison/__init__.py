"""Several bundles, one budget: trained on the same folds and scored on the same cases."""
