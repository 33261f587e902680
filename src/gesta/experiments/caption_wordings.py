"""Captions for UTD-MHAD (Chen et al. 2015): several wordings for each of its 27 actions."""

from __future__ import annotations

UTD_MHAD: dict[str, tuple[str, ...]] = {
    "swipe_left": ("a person swipes to the left", "somebody sweeps the right arm to the left"),
    "swipe_right": ("a person swipes to the right", "somebody sweeps the right arm to the right"),
    "wave": ("a person waves with the right hand", "somebody greets with the right hand"),
    "clap": ("a person claps in front of the chest", "somebody claps both hands"),
    "throw": ("a person throws something", "somebody throws with the right arm"),
    "arm_cross": ("a person crosses the arms", "somebody folds both arms over the chest"),
    "basketball_shoot": ("a person shoots a basketball", "somebody throws a basketball at a basket"),
    "draw_x": ("a person draws an x in the air", "somebody crosses something out with the right hand"),
    "draw_circle_cw": ("a person draws a circle clockwise", "somebody circles clockwise with the right hand"),
    "draw_circle_ccw": ("a person draws a circle counterclockwise", "somebody circles backwards with the right hand"),
    "draw_triangle": ("a person draws a triangle", "somebody draws three lines that close"),
    "bowling": ("a person bowls", "somebody rolls a bowling ball"),
    "boxing": ("a person boxes", "somebody punches with both fists"),
    "baseball_swing": ("a person swings a baseball bat", "somebody hits a baseball"),
    "tennis_swing": ("a person swings a tennis racket", "somebody hits a forehand in tennis"),
    "arm_curl": ("a person curls both arms", "somebody lifts weights with both arms"),
    "tennis_serve": ("a person serves in tennis", "somebody hits a tennis ball from above"),
    "push": ("a person pushes with both hands", "somebody pushes something away"),
    "knock": ("a person knocks on a door", "somebody knocks with the right hand"),
    "catch": ("a person catches something", "somebody catches an object with the right hand"),
    "pickup_throw": ("a person picks something up and throws it", "somebody bends down and then throws"),
    "jog": ("a person jogs in place", "somebody runs on the spot"),
    "walk": ("a person walks in place", "somebody walks on the spot"),
    "sit2stand": ("a person stands up", "somebody rises from a chair"),
    "stand2sit": ("a person sits down", "somebody takes a seat"),
    "lunge": ("a person lunges forward", "somebody steps forward with the left foot and bends the knee"),
    "squat": ("a person squats", "somebody bends both knees with the arms stretched out"),
}
"""Action name, as in the file names -> captions for each of its recordings."""
