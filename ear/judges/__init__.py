"""Judges: is the concept in this image?"""
