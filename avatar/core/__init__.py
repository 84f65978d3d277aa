"""The ground that every room stands on: frames, avatars, errors, mailboxes, paths, private files, plain texts."""
