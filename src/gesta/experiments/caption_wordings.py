"""Captions for UTD-MHAD (Chen et al. 2015): four wordings for each of its 27 actions."""

from __future__ import annotations

UTD_MHAD: dict[str, tuple[str, ...]] = {
    "swipe_left": (
        "a person swipes to the left",
        "somebody sweeps the right arm to the left",
        "the person moves the right hand leftwards",
        "a hand wipes across from right to left",
    ),
    "swipe_right": (
        "a person swipes to the right",
        "somebody sweeps the right arm to the right",
        "the person moves the right hand rightwards",
        "a hand wipes across from left to right",
    ),
    "wave": (
        "a person waves with the right hand",
        "somebody greets with the right hand",
        "the person raises the right hand and waves it",
        "a raised hand moves from side to side",
    ),
    "clap": (
        "a person claps in front of the chest",
        "somebody claps both hands",
        "the person strikes the palms together",
        "two hands meet with a clap",
    ),
    "throw": (
        "a person throws something",
        "somebody throws with the right arm",
        "the person hurls something forward",
        "an arm swings forward and lets go",
    ),
    "arm_cross": (
        "a person crosses the arms",
        "somebody folds both arms over the chest",
        "the person puts one arm over the other",
        "two arms cross in front of the body",
    ),
    "basketball_shoot": (
        "a person shoots a basketball",
        "somebody throws a basketball at a basket",
        "the person aims at a basket and shoots",
        "two hands lift a ball overhead and release it",
    ),
    "draw_x": (
        "a person draws an x in the air",
        "somebody crosses something out with the right hand",
        "the person draws two lines that cross",
        "a hand writes the letter x",
    ),
    "draw_circle_cw": (
        "a person draws a circle clockwise",
        "somebody circles clockwise with the right hand",
        "the person describes a circle like the hands of a clock",
        "a hand goes round to the right",
    ),
    "draw_circle_ccw": (
        "a person draws a circle counterclockwise",
        "somebody circles backwards with the right hand",
        "the person describes a circle against the hands of a clock",
        "a hand goes round to the left",
    ),
    "draw_triangle": (
        "a person draws a triangle",
        "somebody draws three lines that close",
        "the person outlines a shape with three corners",
        "a hand draws a triangle in the air",
    ),
    "bowling": (
        "a person bowls",
        "somebody rolls a bowling ball",
        "the person rolls a ball down a lane",
        "an arm swings low and sends a ball rolling",
    ),
    "boxing": (
        "a person boxes",
        "somebody punches with both fists",
        "the person throws punches",
        "two fists strike in turn",
    ),
    "baseball_swing": (
        "a person swings a baseball bat",
        "somebody hits a baseball",
        "the person strikes at a ball with a bat",
        "two hands swing a bat around the body",
    ),
    "tennis_swing": (
        "a person swings a tennis racket",
        "somebody hits a forehand in tennis",
        "the person plays a forehand",
        "an arm swings a racket forward at hip height",
    ),
    "arm_curl": (
        "a person curls both arms",
        "somebody lifts weights with both arms",
        "the person bends both elbows as with dumbbells",
        "two forearms rise and sink again",
    ),
    "tennis_serve": (
        "a person serves in tennis",
        "somebody hits a tennis ball from above",
        "the person tosses a ball up and strikes it",
        "an arm swings a racket over the head",
    ),
    "push": (
        "a person pushes with both hands",
        "somebody pushes something away",
        "the person shoves something forward",
        "two palms press forward",
    ),
    "knock": (
        "a person knocks on a door",
        "somebody knocks with the right hand",
        "the person raps at a door",
        "a fist taps on a door",
    ),
    "catch": (
        "a person catches something",
        "somebody catches an object with the right hand",
        "the person reaches out and grabs something",
        "a hand closes around something in the air",
    ),
    "pickup_throw": (
        "a person picks something up and throws it",
        "somebody bends down and then throws",
        "the person lifts something from the floor and hurls it",
        "a hand takes something from the ground and throws it",
    ),
    "jog": (
        "a person jogs in place",
        "somebody runs on the spot",
        "the person runs without leaving the place",
        "two legs run in place",
    ),
    "walk": (
        "a person walks in place",
        "somebody walks on the spot",
        "the person takes steps without leaving the place",
        "two legs step in place",
    ),
    "sit2stand": (
        "a person stands up",
        "somebody rises from a chair",
        "the person gets up from sitting",
        "a seated body rises",
    ),
    "stand2sit": (
        "a person sits down",
        "somebody takes a seat",
        "the person lowers onto a chair",
        "a standing body sinks onto a seat",
    ),
    "lunge": (
        "a person lunges forward",
        "somebody steps forward with the left foot and bends the knee",
        "the person makes a long step and sinks",
        "one leg steps far ahead and bends",
    ),
    "squat": (
        "a person squats",
        "somebody bends both knees with the arms stretched out",
        "the person lowers the hips and rises again",
        "two knees bend deeply",
    ),
}
"""Action name, as in the file names -> captions for each of its recordings."""
