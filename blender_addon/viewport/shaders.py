"""The shaders: Gaussians as blended ellipses, and the picture of them laid over a view.

The projection is that of the backend's renderer (EWA splatting, Zwicker et al. 2001; Kerbl et al. 2023): the covariance
is projected by the Jacobian of the perspective, linearised at most 30 % outside of the view, and 0.3 square pixels are
added to it. An ellipse ends where its opacity falls to 1/255. Gaussians outside of the view by more than that, and near
the viewer for their size, are not drawn: their linearised ellipses would cover the whole view as a fog that no exact
projection shows. Views of Blender are wider than the photographs, so more Gaussians are there. Colours are the numbers
of the photographs, sRGB, and are blended as such, because reconstructions are trained so.
"""

from __future__ import annotations

from typing import Any

import gpu
from gpu_extras.batch import batch_for_shader

OBJECT_TEXELS = 5
"""Texels of an object: three rows to the axes of the view, the camera in its frame, and its colour and state."""

ROW_OBJECTS = 64
"""Objects in a row of their image."""

SELECTED, ACTIVE = 1.0, 2.0
"""States of an object."""

_SPLAT_VERTEX = """
vec4 texel(sampler2D image, int at) {
  return texelFetch(image, ivec2(at % WIDTH, at / WIDTH), 0);
}

vec3 coefficient(int row, int k) {
  vec3 found;
  for (int c = 0; c < 3; c++) {
    int n = 3 * k + c;
    found[c] = texel(higher, row * HIGHER_TEXELS + n / 4)[n % 4];
  }
  return found;
}

vec3 seen_from(int row, vec3 d) {
  float x = d.x, y = d.y, z = d.z;
  vec3 sum = vec3(0.0);
  if (degree > 0) {
    sum += 0.4886025119029199 * (-y * coefficient(row, 0) + z * coefficient(row, 1) - x * coefficient(row, 2));
  }
  if (degree > 1) {
    sum += 1.0925484305920792 * (x * y * coefficient(row, 3) - y * z * coefficient(row, 4)
                                 - x * z * coefficient(row, 6));
    sum += 0.31539156525252005 * (3.0 * z * z - 1.0) * coefficient(row, 5);
    sum += 0.5462742152960396 * (x * x - y * y) * coefficient(row, 7);
  }
  if (degree > 2) {
    sum -= 0.5900435899266435 * (y * (3.0 * x * x - y * y) * coefficient(row, 8)
                                 + x * (x * x - 3.0 * y * y) * coefficient(row, 14));
    sum += 2.890611442640554 * x * y * z * coefficient(row, 9);
    sum -= 0.4570457994644658 * (5.0 * z * z - 1.0) * (y * coefficient(row, 10) + x * coefficient(row, 12));
    sum += 0.3731763325901154 * z * (5.0 * z * z - 3.0) * coefficient(row, 11);
    sum += 1.445305721320277 * z * (x * x - y * y) * coefficient(row, 13);
  }
  return sum;
}

void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  at = vec2(0.0);
  tint = vec4(0.0);
  state = vec2(0.0);
  level = 0.0;

  int row = int(texel(order, gl_InstanceID).r + 0.5);
  vec4 centre = texel(base, row * 4);
  vec4 q = texel(base, row * 4 + 1);
  vec4 size = texel(base, row * 4 + 2);
  vec4 colour = texel(base, row * 4 + 3);
  int object = int(size.w + 0.5);
  ivec2 first = ivec2((object % ROW_OBJECTS) * 5, object / ROW_OBJECTS);
  vec4 right = texelFetch(objects, first, 0);
  vec4 up = texelFetch(objects, first + ivec2(1, 0), 0);
  vec4 ahead = -texelFetch(objects, first + ivec2(2, 0), 0);
  vec4 camera = texelFetch(objects, first + ivec2(3, 0), 0);
  vec4 look = texelFetch(objects, first + ivec2(4, 0), 0);

  vec4 point = vec4(centre.xyz, 1.0);
  vec3 there = vec3(dot(right, point), dot(up, point), dot(ahead, point));
  bool flat_view = projection[3][3] > 0.5;
  if (!flat_view && there.z <= 0.0) {
    return;
  }
  vec4 clip = projection * vec4(there.xy, -there.z, 1.0);
  vec3 place = clip.xyz / clip.w;

  float reach = max(size.x, max(size.y, size.z)) * length(ahead.xyz);
  if (!flat_view && max(abs(place.x), abs(place.y)) > 1.3 && there.z < 3.0 * reach) {
    return;
  }

  vec2 focal = 0.5 * vec2(projection[0][0], projection[1][1]) * view_size;
  vec3 row_x = focal.x * right.xyz;
  vec3 row_y = focal.y * up.xyz;
  if (!flat_view) {
    vec2 shift = vec2(projection[2][0], projection[2][1]);
    vec2 slope = (clamp(place.xy, -1.3, 1.3) + shift) / vec2(projection[0][0], projection[1][1]);
    row_x = (row_x - focal.x * slope.x * ahead.xyz) / there.z;
    row_y = (row_y - focal.y * slope.y * ahead.xyz) / there.z;
  }
  float w = q.x, x = q.y, y = q.z, z = q.w;
  vec3 axis_0 = size.x * vec3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y));
  vec3 axis_1 = size.y * vec3(2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x));
  vec3 axis_2 = size.z * vec3(2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
  vec3 n_x = vec3(dot(row_x, axis_0), dot(row_x, axis_1), dot(row_x, axis_2));
  vec3 n_y = vec3(dot(row_y, axis_0), dot(row_y, axis_1), dot(row_y, axis_2));
  float xx = dot(n_x, n_x) + 0.3, xy = dot(n_x, n_y), yy = dot(n_y, n_y) + 0.3;

  level = 2.0 * log(255.0 * centre.w);
  float middle = 0.5 * (xx + yy);
  float apart = length(vec2(0.5 * (xx - yy), xy));
  float longest = middle + apart, shortest = max(middle - apart, 0.3);
  vec2 along = abs(xy) > 1e-6 * longest ? normalize(vec2(xy, longest - xx))
                                        : (xx >= yy ? vec2(1.0, 0.0) : vec2(0.0, 1.0));
  vec2 offset = sqrt(level) * (sqrt(longest) * corner.x * along + sqrt(shortest) * corner.y * vec2(-along.y, along.x));
  if (!(longest < 1e12)) {
    return;
  }
  gl_Position = vec4(place.xy + 2.0 * offset / view_size, place.z, 1.0);
  at = corner;

  vec3 seen = colour.rgb;
  if (degree > 0) {
    seen += seen_from(row, normalize(flat_view ? camera.xyz : centre.xyz - camera.xyz));
  }
  seen = max(seen, 0.0);
  seen = labels != 0 ? look.rgb : seen;
  seen = colour.w > 0.5 ? mix(seen, vec3(1.0, 0.1, 0.1), 0.8) : seen;
  tint = vec4(seen, centre.w);
  state = vec2(look.w > 0.5 ? 1.0 : 0.0, look.w > 1.5 ? 1.0 : 0.0);
}
"""

_SPLAT_FRAGMENT = """
void main() {
  float square = dot(at, at);
  float alpha = min(tint.a * exp(-0.5 * level * square), 0.999);
  if (square > 1.0 || alpha < 1.0 / 255.0) {
    discard;
  }
  if (others != 0 && gl_FragCoord.z > texelFetch(depths, ivec2(gl_FragCoord.xy), 0).r) {
    discard;
  }
  seen = vec4(alpha * tint.rgb, alpha);
  chosen = vec4(alpha * state, 0.0, alpha);
}
"""

_OVER_VERTEX = """
void main() {
  gl_Position = vec4(corner, 0.0, 1.0);
}
"""

_OVER_FRAGMENT = """
void main() {
  ivec2 place = ivec2(gl_FragCoord.xy);
  vec4 picture = texelFetch(seen, place, 0);
  vec2 inside = texelFetch(chosen, place, 0).rg;
  float most = 0.0;
  ivec2 last = textureSize(chosen, 0) - 1;
  for (int y = -1; y <= 1; y++) {
    for (int x = -1; x <= 1; x++) {
      most = max(most, texelFetch(chosen, clamp(place + ivec2(x, y), ivec2(0), last), 0).r);
    }
  }
  if (outlines != 0 && inside.r < 0.5 && most >= 0.5) {
    float of_active = 0.0;
    for (int y = -1; y <= 1; y++) {
      for (int x = -1; x <= 1; x++) {
        of_active = max(of_active, texelFetch(chosen, clamp(place + ivec2(x, y), ivec2(0), last), 0).g);
      }
    }
    picture = vec4((of_active >= 0.5 ? active_outline : outline).rgb, 1.0);
  }
  if (picture.a <= 0.0) {
    discard;
  }
  // Blender lays the overlay over what it has drawn of a view by powers of 2.2, and not by the curve of sRGB.
  result = vec4(pow(clamp(picture.rgb / picture.a, 0.0, 1.0), vec3(2.2)) * picture.a, picture.a);
}
"""


def splat_shader(width: int, higher_texels: int) -> Any:
    """Return the shader that draws one ellipse an instance.

    Args:
        width: texels in a row of the images ``base``, ``higher`` and ``order``.
        higher_texels: texels of a Gaussian in ``higher``.
    """
    info = gpu.types.GPUShaderCreateInfo()
    info.define("WIDTH", str(width))
    info.define("HIGHER_TEXELS", str(max(higher_texels, 1)))
    info.define("ROW_OBJECTS", str(ROW_OBJECTS))
    info.vertex_in(0, "VEC2", "corner")
    between: Any = gpu.types.GPUStageInterfaceInfo("splatlift_splat")
    between.smooth("VEC2", "at")
    between.flat("VEC4", "tint")
    between.flat("VEC2", "state")
    between.flat("FLOAT", "level")
    info.vertex_out(between)
    for slot, name in enumerate(("base", "higher", "order", "objects", "depths")):
        info.sampler(slot, "FLOAT_2D", name)
    info.push_constant("MAT4", "projection")
    info.push_constant("VEC2", "view_size")
    for name in ("degree", "labels", "others"):
        info.push_constant("INT", name)
    info.fragment_out(0, "VEC4", "seen")
    info.fragment_out(1, "VEC4", "chosen")
    info.vertex_source(_SPLAT_VERTEX)
    info.fragment_source(_SPLAT_FRAGMENT)
    return gpu.shader.create_from_info(info)


def over_shader() -> Any:
    """Return the shader that lays the picture over a view, with the outlines of selected objects."""
    info = gpu.types.GPUShaderCreateInfo()
    info.vertex_in(0, "VEC2", "corner")
    for slot, name in enumerate(("seen", "chosen")):
        info.sampler(slot, "FLOAT_2D", name)
    for name in ("outline", "active_outline"):
        info.push_constant("VEC4", name)
    info.push_constant("INT", "outlines")
    info.fragment_out(0, "VEC4", "result")
    info.vertex_source(_OVER_VERTEX)
    info.fragment_source(_OVER_FRAGMENT)
    return gpu.shader.create_from_info(info)


def square(shader: Any) -> Any:
    """Return a batch of one square from -1 to 1."""
    return batch_for_shader(shader, "TRI_STRIP", {"corner": ((-1, -1), (1, -1), (-1, 1), (1, 1))})
