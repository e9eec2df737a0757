"""What an empty installation shows: one invented recording with its script, and invented cases.

`sample.mp4` is drawn and spoken by `bench/make_sample.py`; nobody real is seen or heard in it.
`sample.json` holds the words that it was made from, when each is said (seconds from the start), and the cases.
"""
