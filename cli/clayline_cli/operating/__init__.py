"""Looking at what runs, on AWS and in the local cloud alike, and acting on it."""
