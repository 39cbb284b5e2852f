"""What an upstream says with its answers: of its limits, of when to come back, and of why it refuses.

Nothing here trusts what it reads: odd headers, bodies and exceptions are passed over, and never raise.
"""
