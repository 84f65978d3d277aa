"""A person: photos and clips checked for one face, enrolment, and the `.avatar` bundle on disk."""
