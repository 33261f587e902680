/** model.json: the facts about a model, with the names of its bundle's manifest. */
export {};
