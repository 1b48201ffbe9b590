/**
 * The topics of the cluster's image, as the coordinators of groups see them.
 *
 * @module
 */

import type { ClusterImage, TopicImage } from "../cluster/image.ts";
import type { GroupTopics, TopicFacts } from "../group/consumer/types.ts";

export class ImageTopics implements GroupTopics {
  readonly #image: ClusterImage;
  #version = 0;

  constructor(image: ClusterImage) {
    this.#image = image;
    const changed = (): void => {
      this.#version++;
    };
    image.listen({
      topicAdded: changed,
      partitionAdded: changed,
      partitionChanged: changed,
      topicRemoved: changed,
      // Nodes have racks.
      nodesChanged: changed,
    });
  }

  get version(): number {
    return this.#version;
  }

  byName(name: string): TopicFacts | null {
    const topic = this.#image.topicByName(name);
    return topic === undefined ? null : this.#factsOf(topic);
  }

  nameOf(id: string): string | null {
    return this.#image.topicById(id)?.name ?? null;
  }

  names(): Iterable<string> {
    return this.#image.topics.keys();
  }

  #factsOf({ id, name, partitions }: TopicImage): TopicFacts {
    return {
      id,
      name,
      partitionCount: partitions.length,
      racksOf: (partition) => {
        const racks = new Set<string>();
        for (const nodeId of partitions[partition]!.replicas) {
          const rack = this.#image.nodes.get(nodeId)?.rack ?? "";
          if (rack !== "") racks.add(rack);
        }
        return [...racks];
      },
    };
  }
}
