/** model.json: what the export knows of a model, in the words of its bundle's manifest. */
export {};
