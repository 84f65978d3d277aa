"""The caged process: `python -m avatar.tracking.child` puts up its walls, then runs MediaPipe, which is imported here
alone (`mediapipe_tasks`). Nobody else imports what lies here: `CagedTracker` and `person_mattes` start the process."""
