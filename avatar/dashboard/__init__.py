"""The page where a person makes avatars, tries photos and goes live: its requests, and the files of the page itself."""
