"""Train a model on a folder of videos, evaluate it, and recognize the gesture in a new video.

    python examples/train_and_predict.py my_gestures new_video.mp4

my_gestures contains one folder for each gesture, named after it, with its videos.
"""

import sys

import gesta


def main(data, video, out="runs/example", **changes):
    run = gesta.train(data, out=out, **changes)  # changes: settings of the recipe, such as **{"training.epochs": 20}

    measured = gesta.evaluate(run.bundle, data)  # on people (or videos, if unknown) not used in training
    print(f"accuracy {measured.metrics['accuracy']:.2f} on {measured.metrics['n']} videos")

    model = gesta.load(run.bundle)
    for label, probability in model.predict(video).top(3):
        print(f"{label}  {probability:.2f}")
    return run.bundle


if __name__ == "__main__":
    main(*sys.argv[1:])
