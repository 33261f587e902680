"""Train on a folder of videos, measure, and predict a new video.

    python examples/train_and_predict.py my_gestures new_video.mp4

my_gestures holds a folder for each gesture, named after it, with its videos inside.
"""

import sys

import gesta


def main(data, video, out="runs/example", **changes):
    run = gesta.train(data, out=out, **changes)  # changes of the recipe, such as **{"training.epochs": 20}

    measured = gesta.evaluate(run.bundle, data)  # on people, or else videos, that were not trained on
    print(f"accuracy {measured.metrics['accuracy']:.2f} on {measured.metrics['n']} videos")

    model = gesta.load(run.bundle)
    for label, probability in model.predict(video).top(3):
        print(f"{label}  {probability:.2f}")
    return run.bundle


if __name__ == "__main__":
    main(*sys.argv[1:])
