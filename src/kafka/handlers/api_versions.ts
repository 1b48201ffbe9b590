/**
 * ApiVersions (key 18), versions 0 to 5: what this broker speaks.
 *
 * - Lists only the handlers that are built; Produce is advertised from version 0 though versions
 *   0 to 2 are refused, because older librdkafka takes a higher minimum for an old broker and switches
 *   compression off (KAFKA-18659).
 * - A version that is not known is answered in version 0 with UNSUPPORTED_VERSION (KIP-511).
 * - v3: client name and version have to be of the allowed form, else INVALID_REQUEST.
 * - v5: a client that names another cluster or node gets REBOOTSTRAP_REQUIRED (KIP-1242), and one that
 *   names only one of the two INVALID_REQUEST.
 *
 * - Gregor's own APIs are shown to its own command line, which names itself from v3 on; other clients might take
 *   such keys amiss.
 * - v3: `gregor.version` is the logical version of the cluster, `metadata.version` the release whose protocol is spoken
 *   (KIP-584). The epoch is the finalized `gregor.version`, which is the only level that changes.
 * - v4: further features of Kafka that clients look for (KIP-1022). `group.version` is at level 1, the protocol of KIP-848,
 *   once `gregor.version` is at 5.
 *   `transaction.version` is at 2, once `gregor.version` is at 4: epochs that rise with each transaction (KIP-890).
 *
 * Gaps: none.
 *
 * @module
 */

import { Writer } from "../../bytes/writer.ts";
import { finalizedFeatures, supportedFeatures } from "../../cluster/features.ts";
import { OWN_KEY_MIN } from "../../wire/api.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { API_VERSIONS } from "../../wire/generated/apis.ts";
import type { ApiVersionsRequest } from "../../wire/generated/api_versions_request.ts";
import {
  type ApiVersionsResponse,
  newApiVersionsResponse,
} from "../../wire/generated/api_versions_response.ts";
import { type Handler, LOCAL, type RequestContext } from "../handler.ts";

/** An API and the versions that are served. */
export interface AdvertisedApi {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** Features are shown from this version on; levels may begin at 0 from the second on: older clients do not read that (KIP-1022). */
const FEATURES_SINCE = 3;
const LEVEL_ZERO_SINCE = 4;

/** The command line, as it names itself. */
const OWN_CLIENT = "gregor-cli";
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

/** @param advertised everything that is served, in any order */
export function apiVersionsHandler(
  advertised: () => Iterable<AdvertisedApi>,
): Handler<ApiVersionsRequest, ApiVersionsResponse> {
  const apiKeys = () => [...advertised()].sort((a, b) => a.apiKey - b.apiKey);
  return {
    api: API_VERSIONS,
    minVersion: 0,
    maxVersion: 5,
    route: LOCAL,
    // deno-lint-ignore require-yield -- answered at once.
    *handle(context, request) {
      const errorCode = problemOf(context, request);
      if (errorCode !== ErrorCode.NONE) return newApiVersionsResponse({ errorCode });
      const hasFeatures = context.version >= FEATURES_SINCE;
      const isOwn = context.version >= 3 && request.clientSoftwareName === OWN_CLIENT;
      return newApiVersionsResponse({
        apiKeys: apiKeys().filter(({ apiKey }) => isOwn || apiKey < OWN_KEY_MIN),
        ...(hasFeatures ? featuresOf(context) : {}),
      });
    },
    unsupportedVersion() {
      const writer = new Writer();
      const errorCode = ErrorCode.UNSUPPORTED_VERSION;
      // What the client needs to ask again (KIP-511).
      const own = apiKeys().filter(({ apiKey }) => apiKey === API_VERSIONS.key);
      const response = newApiVersionsResponse({ errorCode, apiKeys: own });
      API_VERSIONS.encodeResponse(writer, 0, response);
      return writer.copyBytes();
    },
  };
}

function featuresOf({ version, services: { image, versions } }: RequestContext) {
  const least = version >= LEVEL_ZERO_SINCE ? 0 : 1;
  return {
    supportedFeatures: supportedFeatures(versions)
      .filter(({ min }) => min >= least)
      .map(({ name, min, max }) => ({ name, minVersion: min, maxVersion: max })),
    // The only level that changes; it only rises, and is the same on all nodes.
    finalizedFeaturesEpoch: image.finalizedVersion,
    finalizedFeatures: finalizedFeatures(image).map(({ name, level }) => ({
      name,
      maxVersionLevel: level,
      minVersionLevel: level,
    })),
  };
}

function problemOf(context: RequestContext, request: ApiVersionsRequest): ErrorCode {
  const { version, services } = context;
  if (version >= 3) {
    const named = SOFTWARE_NAME.test(request.clientSoftwareName) &&
      SOFTWARE_NAME.test(request.clientSoftwareVersion);
    if (!named) return ErrorCode.INVALID_REQUEST;
  }
  if (version >= 5) {
    const { clusterId } = services.image;
    const namesCluster = request.clusterId !== null;
    const namesNode = request.nodeId !== -1;
    if (namesCluster !== namesNode) return ErrorCode.INVALID_REQUEST;
    const otherCluster = request.clusterId !== null && clusterId !== "" &&
      request.clusterId !== clusterId;
    const otherNode = request.nodeId !== -1 && request.nodeId !== services.nodeId;
    if (otherCluster || otherNode) return ErrorCode.REBOOTSTRAP_REQUIRED;
  }
  return ErrorCode.NONE;
}
