/**
 * What lies around a coordinator under test: topics in a map, and JavaScript's regular expressions.
 *
 * @module
 */

import { Settings } from "../../base/settings.ts";
import { consumerConfigOf, type ConsumerGroupConfig, type GroupWorld } from "./config.ts";
import type { TopicFacts } from "./types.ts";

export class TestWorld implements GroupWorld {
  readonly #topics = new Map<string, TopicFacts>();
  #version = 0;
  config: ConsumerGroupConfig = {
    ...consumerConfigOf(new Settings(), new Map()),
    assignmentIntervalMs: 0,
  };

  /** Makes a topic, or gives it more partitions; its id is made of its name. */
  setTopic(name: string, partitionCount: number, racks: readonly string[] = []): string {
    const id = idOf(name);
    const racksOf = (partition: number) =>
      racks.length === 0 ? [] : [racks[partition % racks.length]!];
    this.#topics.set(name, { id, name, partitionCount, racksOf });
    this.#version++;
    return id;
  }

  removeTopic(name: string): void {
    this.#topics.delete(name);
    this.#version++;
  }

  get topics() {
    const all = this.#topics;
    return {
      version: this.#version,
      byName: (name: string) => all.get(name) ?? null,
      nameOf: (id: string) => [...all.values()].find((topic) => topic.id === id)?.name ?? null,
      names: () => all.keys(),
    };
  }

  readonly regexes = {
    problem: (regex: string): string | null => {
      try {
        // Compiled when it is first used.
        new RegExp(regex).test("");
        return null;
      } catch {
        return "it is none";
      }
    },
    matching: (regex: string, names: Iterable<string>): string[] => {
      if (this.regexes.problem(regex) !== null) return [];
      const whole = new RegExp(`^(?:${regex})$`);
      return [...names].filter((name) => whole.test(name));
    },
  };

  configOf(): ConsumerGroupConfig {
    return this.config;
  }
}

/** A uuid of a topic's name: 32 hexadecimal digits. */
export function idOf(name: string): string {
  const digits = [...name].map((letter) => letter.charCodeAt(0).toString(16)).join("");
  return digits.slice(0, 32).padEnd(32, "0");
}
