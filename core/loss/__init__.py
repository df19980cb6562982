"""Margin losses over class centres, PartialFC, and distillation."""
