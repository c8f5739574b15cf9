"""Labelled images for training: where they come from, what is done to them at random, and batches of them.

Everything random is a function of the seed, the epoch and an image's number: batches are the same to the bit with any
number of workers, and after a resume.
"""
