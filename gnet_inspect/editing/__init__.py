"""What somebody who edits a spec asks: what it counts, what an edit did, and where in the text an argument stands."""
