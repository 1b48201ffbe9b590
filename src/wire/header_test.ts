import { strict as assert } from "node:assert";
import { Cursor } from "../bytes/cursor.ts";
import { API_VERSIONS, HEARTBEAT } from "./generated/apis.ts";
import { newHeartbeatRequest } from "./generated/heartbeat_request.ts";
import { newHeartbeatResponse } from "./generated/heartbeat_response.ts";
import {
  encodeRequestFrame,
  encodeResponse,
  readRequestHeader,
  readResponseHeader,
  requestBodyAddress,
  requestHeaderVersion,
  responseHeaderVersion,
} from "./header.ts";
import { ErrorCode, errorInfo, errorInfos } from "./errors.ts";

Deno.test("header versions change with flexible versions, but not for ApiVersions responses", () => {
  assert.deepEqual([3, 4].map((version) => requestHeaderVersion(HEARTBEAT, version)), [1, 2]);
  assert.deepEqual([3, 4].map((version) => responseHeaderVersion(HEARTBEAT, version)), [0, 1]);
  assert.deepEqual([2, 3].map((version) => requestHeaderVersion(API_VERSIONS, version)), [1, 2]);
  assert.deepEqual([2, 3].map((version) => responseHeaderVersion(API_VERSIONS, version)), [0, 0]);
});

Deno.test("a request's header and body are found, by reading and by address", () => {
  const request = newHeartbeatRequest({ groupId: "g", generationId: 2, memberId: "m" });
  for (const version of [3, 4]) {
    for (const clientId of [null, "", "client"]) {
      const frame = encodeRequestFrame(HEARTBEAT, version, 77, clientId, request);
      const cursor = Cursor.of(frame);
      assert.equal(cursor.int32(), frame.length - 4);
      assert.deepEqual(readRequestHeader(cursor), {
        apiKey: HEARTBEAT.key,
        apiVersion: version,
        correlationId: 77,
        clientId,
      });
      const headerVersion = requestHeaderVersion(HEARTBEAT, version);
      if (headerVersion === 2) cursor.skipTags();
      assert.equal(requestBodyAddress(cursor, 4, frame.length, headerVersion), cursor.at);
      assert.deepEqual(HEARTBEAT.decodeRequest(cursor, version), request);
      assert.ok(cursor.atEnd());
    }
  }
});

Deno.test("requestBodyAddress() refuses a header that is cut, and skips tags that it does not know", () => {
  const withTags = Cursor.of(
    Uint8Array.fromHex("0012000300000001" + "000141" + "010702beef" + "99"),
  );
  assert.equal(requestBodyAddress(withTags, 0, 17, 2), 16);
  for (let end = 0; end < 16; end++) assert.equal(requestBodyAddress(withTags, 0, end, 2), -1);
  const belowNull = Cursor.of(Uint8Array.fromHex("0012000300000001" + "fffe" + "00"));
  assert.equal(requestBodyAddress(belowNull, 0, 11, 2), 11);
});

Deno.test("a response comes back from its bytes", () => {
  const response = newHeartbeatResponse({ errorCode: ErrorCode.REBALANCE_IN_PROGRESS });
  for (const version of [3, 4]) {
    const cursor = Cursor.of(encodeResponse(HEARTBEAT, version, 9, response));
    assert.equal(readResponseHeader(cursor, responseHeaderVersion(HEARTBEAT, version)), 9);
    assert.deepEqual(HEARTBEAT.decodeResponse(cursor, version), response);
    assert.ok(cursor.atEnd());
  }
});

Deno.test("error codes are distinct and found by code", () => {
  const codes = errorInfos().map((info) => info.code);
  assert.equal(new Set(codes).size, codes.length);
  assert.deepEqual(codes, codes.toSorted((a, b) => a - b));
  assert.equal(errorInfo(ErrorCode.NOT_COORDINATOR).name, "NOT_COORDINATOR");
  assert.equal(errorInfo(ErrorCode.NOT_COORDINATOR).retriable, true);
  assert.equal(errorInfo(12345).name, "UNKNOWN_SERVER_ERROR");
});
