//! From YAML text and facts about files to a plan, or to every fault at once with its place.
